import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileArtefacts, GENERATED } from '../../../protocols/ledger/compile.ts'

test('every checked-in artefact is what its sources compile to with the pinned solc, and none is left over', () => {
  const fresh = compileArtefacts()
  const kept = readdirSync(GENERATED, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.json'))
  assert.deepEqual(kept.sort(), [...fresh.keys()].sort())
  for (const [path, text] of fresh)
    assert.equal(readFileSync(join(GENERATED, path), 'utf8'), text, `${path} is stale: npm run contracts`)
})

test('the ledger and the registry fit the size limit of a contract', () => {
  for (const name of ['TallyLedger', 'ServiceRegistry']) {
    const { bytecode } = JSON.parse(readFileSync(join(GENERATED, `${name}.json`), 'utf8'))
    assert.ok((bytecode.length - 2) / 2 < 24_576, name)
  }
})

test('every threat in SPEC.md that names a test names one that is there', () => {
  const spec = readFileSync(join(GENERATED, '..', 'SPEC.md'), 'utf8')
  const threats = spec.slice(spec.indexOf('## 9.'), spec.indexOf('## 10.'))
  const named = [...threats.matchAll(/\| ([a-z-]+): ([^|]+?) *\|\n/g)].map(([, file = '', title = '']) => ({ file, title }))
  assert.ok(named.length > 50, `${named.length} threats name a test`)
  const missing = named.filter(({ file, title }) => {
    const text = readFileSync(join(import.meta.dirname, `${file}.test.ts`), 'utf8')
    return !text.includes(`test('${title}`) && !text.includes(`test(\`${title}`)
  })
  assert.deepEqual(missing, [])
})

test('SPEC.md names every function, event and error of the ledger', () => {
  const spec = readFileSync(join(GENERATED, '..', 'SPEC.md'), 'utf8')
  const { abi }: { abi: { type: string; name?: string }[] } = JSON.parse(
    readFileSync(join(GENERATED, 'TallyLedger.json'), 'utf8'),
  )
  const missing = abi.flatMap(({ name }) => (name === undefined || spec.includes(name) ? [] : [name]))
  // what OpenZeppelin adds, and its own documents describe
  const inherited = [
    'AddressEmptyCode',
    'EIP712DomainChanged',
    'FailedCall',
    'InvalidShortString',
    'ReentrancyGuardReentrantCall',
  ]
  inherited.push('SafeERC20FailedOperation', 'StringTooLong', 'isTrustedForwarder')
  assert.deepEqual(missing.sort(), inherited.sort())
})

test('REGISTRY.md names every function, event and error of the registry', () => {
  const page = readFileSync(join(GENERATED, '..', 'REGISTRY.md'), 'utf8')
  const { abi }: { abi: { type: string; name?: string }[] } = JSON.parse(
    readFileSync(join(GENERATED, 'ServiceRegistry.json'), 'utf8'),
  )
  const missing = abi.flatMap(({ name }) => (name === undefined || page.includes(`\`${name}`) ? [] : [name]))
  // what OpenZeppelin adds, and its own documents describe
  assert.deepEqual(missing.sort(), ['SafeERC20FailedOperation', 'isTrustedForwarder'])
})
