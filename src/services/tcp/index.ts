export { duplexOf } from './duplex.ts'
export { type TcpInit, tcpService } from './provider.ts'
export { type Endpoint, formatEndpoint, parseEndpoint } from './target.ts'
