// A real nginx in a folder of its own, where it is installed.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface Nginx {
  readonly url: string
  stop(): Promise<void>
}

/** Debian puts it where only root looks. */
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`
const START_MS = 10_000

/** Why it cannot be had here; undefined = it can. */
export function noNginx(): string | undefined {
  const { error } = spawnSync('nginx', ['-v'], { env: { PATH } })
  return error === undefined ? undefined : 'nginx is not installed (apt-get install nginx-light)'
}

/** Starts one worker that answers `/small` by itself and gives away the files of `dir/html`. Stop it in `after`. */
export async function startNginx(dir: string): Promise<Nginx> {
  const port = await freePort()
  const html = join(dir, 'html')
  await mkdir(html, { recursive: true })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`)
  const config = `
    daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log stderr crit;
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    events { worker_connections 512; }
    http {
      access_log off; keepalive_requests 10000000; ${temporary.join(' ')}
      server {
        listen 127.0.0.1:${port};
        root ${html};
        location = /small { default_type text/plain; return 200 "a small answer\\n"; }
      }
    }`
  await writeFile(join(dir, 'nginx.conf'), config)
  const child = spawn('nginx', ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', 'stderr'], {
    env: { PATH },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const url = `http://127.0.0.1:${port}`
  const nginx: Nginx = { url, stop: async () => await ended(child) }
  try {
    await untilAnswers(url, child)
  } catch (thrown) {
    await nginx.stop()
    throw thrown
  }
  return nginx
}

/** A port of the loopback that nobody uses just now. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function untilAnswers(url: string, child: ChildProcess): Promise<void> {
  for (const end = performance.now() + START_MS; ; ) {
    const answer = await fetch(`${url}/small`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok === true) return
    if (child.exitCode !== null || performance.now() > end) throw new Error('nginx does not answer')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}
