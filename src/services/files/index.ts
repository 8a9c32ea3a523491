export { type ManifestCache, manifestCache } from './catalog.ts'
export {
  type CheckedFile,
  checkFile,
  type FetchedRange,
  type FileWanted,
  fetchFile,
  fetchIndex,
  type RangeWanted,
} from './fetch.ts'
export type { FileIndex, IndexEntry } from './index-list.ts'
export type { Manifest } from './merkle.ts'
export { DEFAULT_FILE_CHUNK_BYTES, type FilesInit, filesService } from './provider.ts'
export { type SavedFile, type SaveOptions, type SaveProgress, type SaveWanted, saveFile } from './save.ts'
