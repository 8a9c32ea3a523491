import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TallyError } from '../../src/core/errors.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { freshHome, initOf } from './level-home.ts'

const holder = fileURLToPath(new URL('./children/holder.ts', import.meta.url))

async function holdElsewhere(t: Pick<TestContext, 'after'>, home: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [holder, home], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => kill(child))
  await once(child.stdout, 'data')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function lockError(home: string): Promise<TallyError> {
  const thrown: unknown = await openLevelStore(initOf(home)).catch((error: unknown) => error)
  assert.ok(thrown instanceof TallyError)
  assert.equal(thrown.code, 'STORE_LOCKED')
  return thrown
}

test('names the process that holds the database: pid, command and start', async (t) => {
  const home = await freshHome(t)
  const child = await holdElsewhere(t, home)
  const error = await lockError(home)
  assert.match(
    error.message,
    new RegExp(`process ${child.pid} \\(a holder of the lock, started 2025-10-09T08:53:20.000Z\\) uses`),
  )
  assert.match(error.hint ?? '', new RegExp(`running node.*kill ${child.pid}`))
  assert.equal(error.fields.alive, true)
})

test('opens what a killed process held, though its note is still there', async (t) => {
  const home = await freshHome(t)
  await kill(await holdElsewhere(t, home))
  await access(join(home, 'owner.json'))
  const store = await openLevelStore(initOf(home))
  assert.equal(JSON.parse(await readFile(join(home, 'owner.json'), 'utf8')).pid, process.pid)
  await store.close()
  await assert.rejects(access(join(home, 'owner.json')), { code: 'ENOENT' })
})

test('tells when the process of the note is gone, and when the note cannot be read', async (t) => {
  const home = await freshHome(t)
  const child = await holdElsewhere(t, home)
  const ended = spawn(process.execPath, ['--version'], { stdio: 'ignore' })
  await once(ended, 'exit')
  await writeFile(join(home, 'owner.json'), JSON.stringify({ pid: ended.pid, command: 'old', started: 1 }))
  const dead = await lockError(home)
  assert.match(dead.message, new RegExp(`not process ${ended.pid} \\(old, .*which is gone`))
  assert.equal(dead.fields.alive, false)
  for (const note of [
    '{"pid":',
    '[]',
    '{"pid":-1,"command":"x","started":1}',
    `{"pid":${child.pid},"command":"x","started":1e300}`,
  ]) {
    await writeFile(join(home, 'owner.json'), note)
    assert.match((await lockError(home)).message, /does not say which/)
  }
})

test('refuses a second open in the same process', async (t) => {
  const home = await freshHome(t)
  const store = await openLevelStore(initOf(home))
  assert.match((await lockError(home)).message, new RegExp(`process ${process.pid} `))
  // the refused open must not have taken the note of the owner with it
  assert.match((await lockError(home)).message, new RegExp(`process ${process.pid} `))
  await store.close()
})
