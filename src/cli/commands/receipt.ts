import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { asTallyError, TallyError } from '../../core/errors.ts'
import { formatAddress } from '../../core/ids.ts'
import { formatPrice } from '../../core/price-text.ts'
import { MAX_DOCUMENT_LENGTH, parseReceiptDocument, type ReceiptDocument, verifyReceipt } from '../../core/receipt-document.ts'
import { formatAmount } from '../../core/token.ts'
import type { Cli } from '../context.ts'
import { examples } from '../options.ts'
import { facts, table } from '../output.ts'
import { receiptsFolder } from '../receipts.ts'
import { tokenOf } from '../token-book.ts'

export function receiptCommand(cli: Cli): Command {
  const command = new Command('receipt').description('what both ends signed at the end of a session')
  for (const make of [listCommand, showCommand, verifyCommand]) command.addCommand(make(cli))
  return command
}

function listCommand(cli: Cli): Command {
  return new Command('list')
    .description('the receipts of this home, newest first')
    .addHelpText('after', examples('receipt list'))
    .action(async () => {
      const folder = receiptsFolder(await cli.paths())
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json'))
      const all = await Promise.all(names.map((name) => readListed(cli, join(folder, name))))
      const sorted = all
        .filter((one) => one !== undefined)
        .toSorted((a, b) => b.document.receipt.closed - a.document.receipt.closed)
      const rows = await Promise.all(sorted.map(async ({ file, document }) => ({ file, ...(await summaryOf(cli, document)) })))
      cli.out.data({ receipts: rows })
      if (rows.length === 0) return cli.out.text('no receipts yet')
      const cells = rows.map(({ closed, service, provider, bytes, paid, session }) => [
        closed,
        service,
        provider,
        bytes,
        paid,
        session,
      ])
      cli.out.text(...table(['closed', 'service', 'provider', 'bytes', 'paid', 'session'], cells, ['bytes', 'paid']))
    })
}

function showCommand(cli: Cli): Command {
  return new Command('show')
    .description('one receipt with its terms')
    .argument('<receipt>', 'a session id, or a file')
    .addHelpText('after', examples('receipt show 0x1f6b…', 'receipt show ./receipt.json --json'))
    .action(async (name: string) => {
      const path = await fileOf(cli, name)
      const document = await readDocument(path)
      const summary = await summaryOf(cli, document)
      cli.out.data({ file: path, ...summary })
      cli.out.text(...facts(Object.entries(summary)))
    })
}

function verifyCommand(cli: Cli): Command {
  return new Command('verify')
    .description('recomputes everything that a receipt claims; needs no node, no chain and no password')
    .argument('<receipt>', 'a file, or a session id of this home')
    .addHelpText('after', examples('receipt verify ./receipt.json', 'receipt verify ./receipt.json --json'))
    .action(async (name: string) => {
      const document = await readDocument(await fileOf(cli, name))
      const figures = verifyReceipt(document)
      const token = await tokenOf((await cli.paths()).dir, document.terms.token)
      const summary = await summaryOf(cli, document)
      const sums = {
        due: formatAmount(figures.due, token),
        paid: formatAmount(figures.paid, token),
        owed: formatAmount(figures.owed, token),
        prepaid: formatAmount(figures.prepaid, token),
      }
      cli.out.data({ valid: true, countersigned: figures.countersigned, ...sums, receipt: summary })
      cli.out.text(
        `${cli.out.tick} the receipt is right: signed by the provider${figures.countersigned ? ' and by the consumer' : ', not countersigned'}`,
        ...facts([
          ['delivered', deliveredText(document)],
          ['price', summary.price],
          ['due', sums.due],
          ['paid', sums.paid],
          ['owed', sums.owed],
          ['prepaid', sums.prepaid],
          ['provider', summary.provider],
          ['consumer', summary.consumer],
        ]),
      )
    })
}

async function fileOf(cli: Cli, name: string): Promise<string> {
  return /^0x[0-9a-f]{32}$/.test(name) ? join(receiptsFolder(await cli.paths()), `${name}.json`) : name
}

/** One bad file does not hide the others. */
async function readListed(cli: Cli, file: string): Promise<{ file: string; document: ReceiptDocument } | undefined> {
  try {
    return { file, document: await readDocument(file) }
  } catch (thrown) {
    cli.out.warn(`${file} is left out: ${asTallyError(thrown).message}`)
    return undefined
  }
}

async function readDocument(path: string): Promise<ReceiptDocument> {
  try {
    const { size } = await stat(path)
    if (size > MAX_DOCUMENT_LENGTH * 4) throw new TallyError('MALFORMED', { message: `"${path}" is too large to be a receipt` })
    return parseReceiptDocument(await readFile(path, 'utf8'))
  } catch (thrown) {
    if (thrown instanceof TallyError) throw thrown
    throw new TallyError('NOT_FOUND', {
      message: `the receipt "${path}" cannot be read`,
      hint: 'tallystick receipt list shows those of this home',
      cause: thrown,
    })
  }
}

async function summaryOf(cli: Cli, { domain, terms, receipt, consumerSignature }: ReceiptDocument) {
  const token = await tokenOf((await cli.paths()).dir, terms.token)
  return {
    session: receipt.session, service: terms.service, provider: formatAddress(terms.provider), consumer: formatAddress(terms.owner),
    price: formatPrice(terms.price, token), bytes: `${receipt.meter.down}`, milliseconds: `${receipt.meter.ms}`,
    up_bytes: `${receipt.meter.up}`, calls: `${receipt.meter.calls}`, units: `${receipt.meter.units}`,
    paid: formatAmount(receipt.total, token), channel: receipt.channel, channel_total: formatAmount(receipt.amount, token),
    opened: new Date(terms.opened * 1000).toISOString(), closed: new Date(receipt.closed * 1000).toISOString(),
    chain_id: `${domain.chainId}`, ledger: formatAddress(domain.ledger), countersigned: consumerSignature === undefined ? 'no' : 'yes',
  } // biome-ignore format: a record
}

/** Bytes and time, and what was charged beside. */
function deliveredText({ terms, receipt }: ReceiptDocument): string {
  const { down, up, ms, calls, units } = receipt.meter
  const beside = [
    [up, 'bytes up'],
    [calls, 'calls'],
    [units, terms.price.unitName ?? 'units'],
  ] as const
  return [`${down} bytes, ${ms} ms`, ...beside.flatMap(([count, name]) => (count > 0n ? [`${count} ${name}`] : []))].join(', ')
}
