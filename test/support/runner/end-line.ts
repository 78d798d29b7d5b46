/** Returns the line by which a process that runs several test files reports the end of one. */
export function endLine(file: string, code: number): string {
  return `--- end of ${file}: ${code}`;
}
