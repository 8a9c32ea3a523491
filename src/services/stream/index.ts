export type { ProgramLog } from './program.ts'
export { type StreamInit, streamService } from './provider.ts'
