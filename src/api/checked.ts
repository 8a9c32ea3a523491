import { TallyError } from '../core/errors.ts'

/** What a schema of zod answers. */
interface Schema<T> {
  safeParse(
    value: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: { message: string; path: PropertyKey[] }[] } }
}

/** What another process asks for, if it is that. @throws USAGE naming the first thing that is wrong */
export function checked<T>(schema: Schema<T>, body: unknown): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new TallyError('USAGE', {
    message: `the request is not understood: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim(),
  })
}
