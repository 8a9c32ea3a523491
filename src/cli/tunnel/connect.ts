/** `tallystick connect`: a service of a stranger on a port of this computer. */
import { TallyError } from '../../core/errors.ts'
import { formatPrice } from '../../core/price-text.ts'
import { parseEndpoint } from '../../services/tcp/index.ts'
import type { Cli } from '../context.ts'
import { buy, type Order, tell } from '../get/run.ts'
import { plain } from '../output.ts'
import { warnIfShared } from './listening.ts'
import { type TunnelFlags, tunnelOrder, tunnelTarget } from './order.ts'
import { PaidPort } from './port.ts'

export async function runConnect(cli: Cli, what: string, local: string, flags: TunnelFlags): Promise<void> {
  const target = tunnelTarget(what, flags)
  const at = parseEndpoint(local, { leastPort: 0 })
  await cli.withNode({}, async (opened) => {
    const order = await tunnelOrder(cli, opened, target, flags)
    if (order === undefined) return
    const { kind } = order.found.offer
    if (kind !== 'tcp')
      throw new TallyError('UNSUPPORTED', {
        message: `"${target.service}" is of the kind "${plain(kind)}": nothing can connect to it`,
        hint: `tallystick ${kind === 'files' ? 'get' : 'pipe'} ${target.service} --budget …`,
      })
    const { signal, tell: note } = order.init
    const port = await PaidPort.listen(at, { signal, tell: note })
    try {
      announce(order, port)
      const shown = {
        get what() {
          return `${target.service} on ${port.address}, ${port.open} open`
        },
        state: () => ({ bytes: port.bytes, size: undefined }),
      }
      const outcome = await buy(order, port, shown)
      port.close()
      await tell(order, outcome, false, { connections: `${port.connections}`, bytes: `${port.bytes}` }, 'lines')
    } finally {
      port.close()
    }
  })
}

function announce({ cli, opened, target, found }: Order, { address }: PaidPort): void {
  const { out } = cli
  const price = formatPrice(found.offer.price, opened.node.token)
  const provider = found.peer.toString()
  out.data({ event: 'listening', address, service: target.service, provider, price }, 'lines')
  out.text(`${out.tick} listening on ${address}: each connection goes to ${target.service} at ${price}`)
  warnIfShared(out, address)
}
