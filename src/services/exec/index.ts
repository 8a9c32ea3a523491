export { type Called, type CallOptions, callProgram } from './call.ts'
export { type ExecInit, execService } from './provider.ts'
export type { CallEnd } from './records.ts'
export { signalName } from './signals.ts'
