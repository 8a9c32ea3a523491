/** What a payer asks for when its sessions are over: the end of the channel, and its own name under an old receipt. */
import { bestAmount } from '../core/channel.ts'
import { TallyError } from '../core/errors.ts'
import { channelId } from '../core/ids.ts'
import type { FromPayer, Release } from '../core/session/messages.ts'
import { termsChannel } from '../core/terms.ts'
import type { PayeeDeskComponents } from './components.ts'
import { payeeCrypto } from './crypto.ts'
import type { PayeeBook, Visit } from './payee-book.ts'

export class PayeeClosings {
  readonly #book: PayeeBook
  readonly #components: PayeeDeskComponents

  constructor(book: PayeeBook, components: PayeeDeskComponents) {
    this.#book = book
    this.#components = components
  }

  /** Signs the end of a channel, frozen on the disk before. @throws CHANNEL_UNKNOWN, CHANNEL_IN_USE, HEAD_DISAGREES */
  async release({ link }: Visit, message: Release): Promise<void> {
    const { self, closeDeadline, signClose } = this.#components
    const id = channelId({ owner: message.owner, signer: link.address, target: self.address, token: message.token })
    const file = await this.#book.shelf.channel(id)
    const { channel } = file
    if (channel === undefined) throw new TallyError('CHANNEL_UNKNOWN')
    if (this.#book.shelf.isInUse(channel)) throw new TallyError('CHANNEL_IN_USE')
    if (
      message.epoch !== channel.facts.epoch ||
      message.amount !== (channel.best === undefined ? channel.facts.settled : bestAmount(channel))
    )
      throw new TallyError('HEAD_DISAGREES')
    const deadline = closeDeadline()
    file.channel = { ...channel, frozen: { until: deadline, epoch: message.epoch } }
    await this.#book.commit([], [file])
    const signature = signClose({ channel: id, amount: message.amount, deadline, epoch: message.epoch })
    link.send({ type: 'released', channel: id, amount: message.amount, deadline, epoch: message.epoch, signature })
  }

  /** The countersignature of a session that is not in memory. One at a time: each costs a look at the disk, and the next one can be sent again. */
  async countersign(visit: Visit, message: FromPayer & { type: 'countersign' }): Promise<void> {
    if (visit.isLate) return
    visit.isLate = true
    try {
      await this.#countersign(visit, message)
    } finally {
      visit.isLate = false
    }
  }

  async #countersign({ link }: Visit, message: FromPayer & { type: 'countersign' }): Promise<void> {
    const old = await this.#book.records.session(message.session)
    if (old?.receipt === undefined || old.countersignature !== undefined || old.terms.signer !== link.address) return
    const { domain, self } = this.#components
    const crypto = payeeCrypto(domain, self, termsChannel(old.terms), link.publicKey, old.terms)
    if (!crypto.verifyReceipt(old.receipt.receipt, message.signature)) return
    await this.#book.commit(this.#book.records.putSession({ ...old, countersignature: message.signature }))
  }
}
