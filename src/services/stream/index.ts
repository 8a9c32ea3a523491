export type { ProgramLog } from '../program.ts'
export type { FanOutInit } from './fan-out.ts'
export { type StreamInit, streamService } from './provider.ts'
