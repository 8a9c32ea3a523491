/** Where the receipts of a home are kept. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type ReceiptDocument, receiptDocumentJson } from '../core/receipt-document.ts'
import type { HomePaths } from '../node/home.ts'
import { writeJson } from '../node/json-file.ts'

export function receiptsFolder(paths: Pick<HomePaths, 'dir'>): string {
  return join(paths.dir, 'receipts')
}

/** Writes it for the owner of the home alone. @returns its path */
export async function keepReceipt(paths: Pick<HomePaths, 'dir'>, document: ReceiptDocument): Promise<string> {
  const folder = receiptsFolder(paths)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${document.receipt.session}.json`)
  await writeJson(path, receiptDocumentJson(document))
  return path
}
