import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const root = join(import.meta.dirname, '../..')

describe('bin/tallystick', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tallystick-bin-'))
  after(() => rmSync(folder, { recursive: true }))

  /** A machine whose only Node says that it is of this version, and without the Node that npm would have brought along. */
  function machine(version: string): { bin: string; path: string } {
    const place = join(folder, version)
    mkdirSync(join(place, 'package/bin'), { recursive: true })
    mkdirSync(join(place, 'path'))
    cpSync(join(root, 'bin/tallystick'), join(place, 'package/bin/tallystick'))
    const node = join(place, 'path/node')
    writeFileSync(
      node,
      `#!/bin/sh\ncase $1 in -p) echo ${version.split('.')[0]} ;; --version) echo v${version} ;; *) echo "ran: $*" ;; esac\n`,
    )
    chmodSync(node, 0o755)
    return { bin: join(place, 'package/bin/tallystick'), path: `${join(place, 'path')}:/usr/bin:/bin` }
  }

  test('tells a Node that is too old in one sentence what to do, without a stack trace', () => {
    const { bin, path } = machine('20.9.0')
    const { status, stdout, stderr } = spawnSync(bin, ['demo'], { env: { PATH: path }, encoding: 'utf8' })
    assert.equal(status, 1)
    assert.equal(stdout, '')
    assert.match(stderr, /^tallystick needs Node 24 or newer; this is v20\.9\.0\. .*install.*\n$/)
  })

  test('becomes a Node that is new enough, with the arguments as they were', () => {
    const { bin, path } = machine('24.0.0')
    const { status, stdout } = spawnSync(bin, ['get', 'a b', '--budget', '1 tUSDC'], { env: { PATH: path }, encoding: 'utf8' })
    assert.equal(status, 0)
    assert.match(stdout, /cli\/main\.js get a b --budget 1 tUSDC\n$/)
  })

  test('works through a symbolic link, as npm makes one', () => {
    const link = join(folder, 'tallystick')
    symlinkSync(join(root, 'bin/tallystick'), link)
    const { status, stdout } = spawnSync(link, ['--version'], { encoding: 'utf8' })
    assert.equal(status, 0)
    assert.match(stdout, /^\d+\.\d+\.\d+/)
  })
})
