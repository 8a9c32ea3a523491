/** A generator that nobody has begun runs nothing when it is returned, not even its `finally`: `end` is run in its place. */
export function endable<T>(
  made: AsyncGenerator<T, void, undefined>,
  end: () => Promise<void>,
): AsyncGenerator<T, void, undefined> {
  let isBegun = false
  const unbegun = async (): Promise<void> => {
    if (isBegun) return
    isBegun = true
    await end()
  }
  return {
    next() {
      isBegun = true
      return made.next()
    },
    async return() {
      await unbegun()
      return await made.return()
    },
    async throw(error) {
      await unbegun()
      return await made.throw(error)
    },
    async [Symbol.asyncDispose]() {
      await this.return()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
