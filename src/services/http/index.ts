export { type HttpAnswer, type HttpCall, httpExchange } from './exchange.ts'
export type { FetchHandler } from './handler.ts'
export { type HttpInit, type HttpTarget, httpService } from './provider.ts'
export type { Route, Tariff } from './tariff.ts'
