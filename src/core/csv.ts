/** Lines of CSV (RFC 4180, but with the line ends of the system) that are also safe to open in a spreadsheet. */

/** what a spreadsheet takes for the beginning of a formula; a text may be a stranger's */
const FORMULA = /^[=+\-@\t\r]/
const NEEDS_QUOTES = /[",\r\n]/

/** One line without its end. Texts that a spreadsheet would run get a `'` in front; numbers are written as they are. */
export function csvLine(cells: readonly (string | number | bigint)[]): string {
  return cells.map(csvCell).join(',')
}

function csvCell(cell: string | number | bigint): string {
  if (typeof cell !== 'string') return `${cell}`
  const safe = FORMULA.test(cell) ? `'${cell}` : cell
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
