import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { closingDigest } from '../../src/core/closing.ts'
import { type ChannelParties, channelId } from '../../src/core/ids.ts'
import { preparePromises, settleRow } from '../../src/core/promise.ts'
import type { Chain, ChainFact, ChainSigner, LedgerAction } from '../../src/ports/chain.ts'
import { at, chainOn, closing, factLog, fundedSigner, newSigner, ONE, openAction, units, useDevnet } from './support/fixture.ts'

type ChannelFact = Extract<ChainFact, { type: 'channel' }>
const isChannel = (fact: ChainFact): fact is ChannelFact => fact.type === 'channel'

describe('a channel from opening to end, over the chain port', () => {
  const dev = useDevnet()

  async function act(chain: Chain, action: LedgerAction) {
    return chain.transactions.wait(await chain.transactions.submit(action))
  }

  async function promised(parties: ChannelParties, signer: ChainSigner, amount: bigint) {
    const { net } = dev
    const promises = preparePromises({ chainId: BigInt(net.chainId), ledger: net.ledger }, parties)
    const signature = await signer.sign(promises.digest(units(amount), []))
    return settleRow(parties, { amount: units(amount), locks: [], signature })
  }

  test('promises of owners with and without a signer of their own settle, alone and in a batch; the payee hears of each channel', async (t) => {
    const { net } = dev
    const { token } = net
    const payeeSigner = await fundedSigner(net, 0n)
    const payee = chainOn(net, { signer: payeeSigner })
    closing(t, payee)
    const log = factLog(payee)
    await payee.start()
    const channels: { parties: ChannelParties; signer: ChainSigner }[] = []
    for (const ownKey of [true, false]) {
      const owner = await fundedSigner(net)
      const signer = ownKey ? owner : newSigner()
      const payer = chainOn(net, { signer: owner })
      closing(t, payer)
      const expiry = (await payer.time()) + 3600
      await act(payer, openAction(payeeSigner.address, token, 5n * ONE, { signer: signer.address, expiry }))
      channels.push({ parties: { owner: owner.address, signer: signer.address, target: payeeSigner.address, token }, signer })
    }
    const [first, second] = channels
    assert(first !== undefined && second !== undefined)
    const settled = (parties: ChannelParties, amount: bigint) =>
      log.until(
        (fact) =>
          isChannel(fact) && fact.id === channelId(parties) && fact.causes.includes('settled') && fact.facts?.settled === amount,
      )

    await act(payee, {
      kind: 'settle',
      target: payeeSigner.address,
      token,
      ...(await promised(first.parties, first.signer, ONE)),
    })
    await settled(first.parties, ONE)
    await act(payee, {
      kind: 'settle',
      target: payeeSigner.address,
      token,
      ...(await promised(second.parties, second.signer, 2n)),
    })
    await settled(second.parties, 2n)
    const rows = [await promised(first.parties, first.signer, 2n * ONE), await promised(second.parties, second.signer, 9n * ONE)]
    await act(payee, { kind: 'settle-batch', target: payeeSigner.address, token, rows })
    await settled(first.parties, 2n * ONE)
    await settled(second.parties, 5n * ONE)
    await log.until((fact) => fact.type === 'balance' && fact.amount === 7n * ONE)
    assert.equal(await payee.ledgerBalance(token, payeeSigner.address), 7n * ONE)
    assert.equal(await payee.payoutOf(token, payeeSigner.address), payeeSigner.address)
  })

  test('a channel closes with the signature of the target, opens again, and is reclaimed after its expiry', async (t) => {
    const { net } = dev
    const { token } = net
    const owner = await fundedSigner(net)
    const target = newSigner()
    const payer = chainOn(net, { signer: owner })
    closing(t, payer)
    const log = factLog(payer)
    await payer.start()
    const me = owner.address
    const parties = { owner: me, signer: me, target: target.address, token }
    const id = channelId(parties)
    const expiry = (await payer.time()) + 600
    await act(payer, openAction(target.address, token, 5n * ONE, { signer: me, expiry }))
    const deadline = at(expiry)
    const digest = closingDigest(
      { chainId: BigInt(net.chainId), ledger: net.ledger },
      { channel: id, amount: units(ONE), deadline, epoch: 0 },
    )
    const signature = await target.sign(digest)
    await act(payer, { kind: 'close', signer: me, target: target.address, token, amount: units(ONE), deadline, signature })
    const closed = await log.until((fact) => isChannel(fact) && fact.causes.includes('closed'))
    assert(isChannel(closed) && closed.facts !== undefined)
    assert.equal(closed.facts.epoch, 1)
    assert.equal(closed.facts.settled, ONE)
    assert.equal(await payer.ledgerBalance(token, me), 4n * ONE)
    await act(payer, openAction(target.address, token, ONE, { signer: me, expiry, from: 'balance' }))
    await net.increaseTime(700)
    await act(payer, { kind: 'reclaim', signer: me, target: target.address, token })
    const reclaimed = await log.until((fact) => isChannel(fact) && fact.causes.includes('reclaimed'))
    assert(isChannel(reclaimed) && reclaimed.facts?.epoch === 2)
    assert.equal(await payer.ledgerBalance(token, me), 4n * ONE)
  })
})
