/** The bits of poll(2). */
export const Poll = {
  in: 0x001,
  out: 0x004,
  error: 0x008,
  hangUp: 0x010,
  readNormal: 0x040,
  writeNormal: 0x100,
} as const;
/** The readiness of a regular file. */
export const ALWAYS_READY = Poll.in | Poll.out | Poll.readNormal | Poll.writeNormal;
