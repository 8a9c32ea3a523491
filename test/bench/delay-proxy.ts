/** A process of the benchmark: a line on which every byte takes so long, in each direction, in front of ports of this machine. */
import { type FaultProxy, faultProxy } from '../support/fault-proxy.ts'
import { answer } from './child.ts'

const proxies = new Map<number, FaultProxy>()

const answers = {
  /** A port that leads to `port`, `latencyMs` later. */
  async delay({ port, latencyMs }: { port: number; latencyMs: number }): Promise<number> {
    const proxy = await faultProxy(port, { latencyMs })
    proxies.set(proxy.port, proxy)
    return proxy.port
  },

  /** Bytes that the side that dialled this port of ours has sent through. */
  passed({ port }: { port: number }): number {
    return proxies.get(port)?.bytesIn ?? 0
  },
}
export type DelayAnswers = typeof answers

answer(answers)
