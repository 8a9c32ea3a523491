import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SETTINGS } from '../../../../protocols/ledger/compile.ts'
import { FORGE_EXPECTED, forge, forgeTest, readRules, whyNoForge } from './forge.ts'

const absent = whyNoForge()

if (absent !== undefined && !FORGE_EXPECTED) {
  process.stdout.write(`forge does not run: ${absent}\n`)
} else {
  describe('forge', () => {
    test('forge is installed', () => assert.equal(absent, undefined))

    test('forge compiles with the settings of the published artefacts', () => {
      const { stdout } = forge(['config', '--json'])
      const { via_ir, optimizer, optimizer_runs, evm_version, bytecode_hash, cbor_metadata } = JSON.parse(stdout)
      assert.deepEqual(
        {
          viaIR: via_ir,
          optimizer: { enabled: optimizer, runs: optimizer_runs },
          evmVersion: evm_version,
          metadata: { bytecodeHash: bytecode_hash, appendCBOR: cbor_metadata },
        },
        SETTINGS,
      )
    })

    test('every fuzz test passes, and every rule holds over at least 50,000 calls', async (t) => {
      const results = forgeTest()
      for (const { suite, name, passed, reason, counterexample } of results) {
        await t.test(`${suite} ${name}`, () => assert.ok(passed, `${reason} ${counterexample}`))
      }
      const campaigns = results.filter(({ name }) => name.startsWith('invariant_'))
      assert.deepEqual(
        campaigns.map(({ name }) => name),
        ['invariant_everyRuleHolds()'],
      )
      for (const { calls, reverts } of campaigns)
        assert.ok(calls >= 50_000 && reverts === 0, `${calls} calls, ${reverts} reverts`)
      assert.ok(readRules().length >= 10)
      const fuzz = results.filter(({ name }) => name.startsWith('testFuzz_'))
      assert.ok(fuzz.length > 0 && fuzz.every(({ runs }) => runs >= 1_000), 'a fuzz test ran too little')
      process.stdout.write(
        `forge: ${readRules().length} rules over ${campaigns[0]?.calls} calls; ${fuzz.length} fuzz tests of ${fuzz[0]?.runs} runs\n`,
      )
    })
  })
}
