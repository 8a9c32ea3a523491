/** The library: everything a program needs to sell, find, buy and settle. */
export type { Amount } from './core/amount.ts'
export { ERRORS, type ErrorCode, TallyError } from './core/errors.ts'
export { type Address, type ChannelId, parseAddress, type SessionId } from './core/ids.ts'
export type { Offer, SignedOffer } from './core/offer.ts'
export type { Price } from './core/price.ts'
export { formatPrice, parsePrice } from './core/price-text.ts'
export { parseReceiptDocument, type ReceiptDocument, receiptDocumentJson, verifyReceipt } from './core/receipt-document.ts'
export { formatAmount, parseAmount, type TokenInfo } from './core/token.ts'
export type { Found } from './discovery/market.ts'
export type { PaidConnection } from './node/connection.ts'
export { createNode } from './node/create-node.ts'
export type { HttpOptions } from './node/http-options.ts'
export type { OpenOptions, ServeOptions, TallyNode } from './node/node.ts'
export type { ClosedSession, NodeSession } from './node/node-session.ts'
export type { NodeOptions, ProviderOptions } from './node/options.ts'
export type { PaidHttp } from './node/paid-http.ts'
export { routePrices } from './node/route-prices.ts'
export type {
  Charge,
  Charged,
  OpenOptions as StreamOptions,
  PaidSession,
  PaidStream,
  Reservation,
  ServiceAdapter,
  ServiceAnswer,
  ServiceCall,
} from './ports/service.ts'
export { type CallEnd, type Called, type CallOptions, callProgram, type ExecInit, execService } from './services/exec/index.ts'
export { fetchFile, filesService, saveFile } from './services/files/index.ts'
export { type HttpInit, httpService, type Tariff } from './services/http/index.ts'
export { streamService } from './services/stream/index.ts'
export { duplexOf, type TcpInit, tcpService } from './services/tcp/index.ts'
