/** Rows of a provider with a long history and many customers: start_1m_channels_s, rss_1m_channels_mb, channel_bytes, idle_session_kb. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import { start } from './child.ts'
import type { FillAnswers } from './fill-channels.ts'
import type { IdleAnswers } from './idle-sessions.ts'
import type { ManyChannelsAnswers, Memory, Started } from './many-channels.ts'
import { note, type Place } from './place.ts'
import { type Measured, measured, median } from './report.ts'

const CHANNELS = 1_000_000
const SESSIONS = 10_000
/** how long a node runs before its memory is read, ms: it looks at what is due meanwhile */
const RUN_MS = 10_000

export async function channelRows(bench: Bench): Promise<Measured[]> {
  return [...(await historyRows(bench)), await idleRow(bench)]
}

async function historyRows({ place, runs, scale, profile }: Bench): Promise<Measured[]> {
  const channels = Math.ceil(CHANNELS * scale)
  const full = await filled(place, channels)
  const empty = await filled(place, 0)
  const starts: Started[] = []
  const memory: Memory[] = []
  for (let run = 1; run <= runs; run++) {
    const { started, used } = await once(full, profile)
    note(
      `start_1m_channels_s run ${run}: ${(started.ms / 1e3).toFixed(2)} s; ${used.rssMb.toFixed(0)} MB, ${used.peakMb.toFixed(0)} MB at most, ${used.ownMb.toFixed(0)} MB of its own`,
    )
    starts.push(started)
    memory.push(used)
  }
  const { started, used } = await once(empty, profile)
  const less = median(memory.map(({ rssMb }) => rssMb)) - used.rssMb
  const text = `${channels} channels; ${(started.ms / 1e3).toFixed(2)} s and ${used.rssMb.toFixed(0)} MB without any`
  return [
    measured('start_1m_channels_s', 's', starts.map(({ ms }) => ms / 1e3), { note: `${text}; ${(full.bytes / channels).toFixed(0)} bytes of disk each` }),
    measured('rss_1m_channels_mb', 'MB', memory.map(({ peakMb }) => peakMb), { note: `at most, in ${RUN_MS / 1e3} s after the start` }),
    measured('channel_bytes', 'bytes', [Math.max(0, (less * 2 ** 20) / channels)], { note: 'memory of the process for one that is known' }),
  ] // biome-ignore format: a table
}

interface Filled extends Place {
  readonly privateKey: Uint8Array
  /** of the database */
  readonly bytes: number
}

async function filled(place: Place, channels: number): Promise<Filled> {
  const dir = await mkdtemp(join(place.dir, 'channels-'))
  const privateKey = randomBytes(32)
  await mkdir(dir, { recursive: true })
  const filler = start<FillAnswers>('fill-channels.ts')
  const begun = performance.now()
  await filler.ask('fill', { place: { ...place, dir }, privateKey, channels })
  await filler.stop()
  const files = await readdir(join(dir, 'db'))
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(dir, 'db', name))).size))
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  note(`${channels} channels written in ${((performance.now() - begun) / 1e3).toFixed(1)} s, ${(bytes / 2 ** 20).toFixed(0)} MiB`)
  return { ...place, dir, privateKey, bytes }
}

/** A node's life over that database, in a process of its own. */
async function once(place: Filled, profile: string | undefined): Promise<{ started: Started; used: Memory }> {
  const node = start<ManyChannelsAnswers>('many-channels.ts', profile)
  try {
    const started = await node.ask('begin', { place, privateKey: place.privateKey })
    const used = await node.ask('run', { ms: RUN_MS })
    await node.ask('end')
    return { started, used }
  } finally {
    await node.stop()
  }
}

async function idleRow({ place, runs, scale, profile }: Bench): Promise<Measured> {
  const sessions = Math.ceil(SESSIONS * scale)
  const each: number[] = []
  let busy = 0
  for (let run = 1; run <= runs; run++) {
    const dir = await mkdtemp(join(place.dir, 'idle-'))
    const child = start<IdleAnswers>('idle-sessions.ts', profile)
    const { bytesEach, rssBytesEach, ...used } = await child.ask('idle', { place: { ...place, dir }, sessions })
    await child.stop()
    busy = used.busy
    note(
      `idle_session_kb run ${run}: ${(bytesEach / 1024).toFixed(2)} kB, ${(rssBytesEach / 1024).toFixed(2)} kB by the process; ${(busy * 100).toFixed(0)} % of a core`,
    )
    each.push(bytesEach / 1024)
  }
  return measured('idle_session_kb', 'kB', each, { note: `${sessions} sessions, ${(busy * 100).toFixed(0)} % of a core` })
}
