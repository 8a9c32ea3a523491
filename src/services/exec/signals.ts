/** The numbers of signals, which travel, and their names, which are read. */
import { constants } from 'node:os'

const KILL = 9
const NUMBERS: Readonly<Record<string, number>> = constants.signals

/** 1 to 127. */
export const signalNumber = (name: NodeJS.Signals | null): number => NUMBERS[name ?? 'SIGKILL'] ?? KILL

/** 'SIGKILL'; 'signal 99' for one that has no name here. */
export const signalName = (number: number): string =>
  Object.entries(NUMBERS).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
