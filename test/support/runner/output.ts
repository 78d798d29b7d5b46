/** The lines of a test file's output that the runner reads, besides uvu's counts. */

/** The start of the line of a measured value. */
export const FIGURE = '  figure: ';
/** The start of the line of a test that can't run here: its sentence, and the reason. */
export const SKIPPED = '  skipped: ';

/** Prints a measured value. The runner repeats the line, also if the file passes. */
export function figure(text: string): void {
  console.log(`\n${FIGURE}${text}`); // uvu does not end the line of its dots
}

/** Returns the line by which a process that runs several test files reports the end of one. */
export function endLine(file: string, code: number): string {
  return `--- end of ${file}: ${code}`;
}
