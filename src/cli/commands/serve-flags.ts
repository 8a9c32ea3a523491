/** What every way of selling is told. */
import type { Command } from 'commander'
import { TallyError } from '../../core/errors.ts'
import { isServiceName } from '../../core/offer.ts'
import type { ServeOptions } from '../../node/node.ts'

export interface ServeFlags {
  readonly name: string
  readonly price: string
  readonly chunk?: string
  readonly description?: string
  readonly minReservation?: string
  readonly listen?: string
}

export function common(command: Command): Command {
  return command
    .requiredOption('--name <name>', 'what buyers look for: 1 to 64 of a-z 0-9 . _ -')
    .requiredOption('--price <price>', 'such as 0.01/MiB, 0.001/s, 0.1/GiB+0.0001/s or free')
    .option('--chunk <quantity>', 'after how much a payment is due, such as "64 KiB" or "1 s"')
    .option('--description <text>', 'one line for people')
    .option('--min-reservation <amount>', 'the least that a buyer must have reserved')
    .option('--listen <multiaddrs>', 'where to listen, joined by commas')
}

export function offered({ name, chunk, description, minReservation }: ServeFlags): Omit<ServeOptions, 'service' | 'price'> {
  return {
    name,
    ...(chunk !== undefined && { chunk }),
    ...(description !== undefined && { description }),
    ...(minReservation !== undefined && { minReservation }),
  }
}

/** @throws TallyError USAGE */
export function checkName(name: string): void {
  if (isServiceName(name)) return
  throw new TallyError('USAGE', {
    message: `"${name.slice(0, 80)}" cannot be the name of a service`,
    hint: 'a name has 1 to 64 of a-z 0-9 . _ -',
  })
}
