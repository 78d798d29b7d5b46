/**
 * Makes libudev messages for tests, valid as udevd sends them or invalid. It shares no code with
 * the product.
 */

/** Fields of `struct udev_monitor_netlink_header`; each has its valid value by default. */
interface LibudevFields {
  readonly prefix?: string;
  readonly magic?: number;
  readonly size?: number;
  readonly off?: number;
  readonly len?: number;
  readonly subsystem?: number;
  readonly devtype?: number;
  readonly high?: number;
  readonly low?: number;
  /** The number of bytes between the header and the properties. */
  readonly extra?: number;
}

/** Returns a message with the given properties, one character for each byte. */
export function libudevMessage(properties: string, fields: LibudevFields = {}): Buffer {
  const block = Buffer.from(properties, 'latin1');
  const header = Buffer.alloc(40 + (fields.extra ?? 0));
  header.write(fields.prefix ?? 'libudev\0', 'latin1');
  header.writeUInt32BE(fields.magic ?? 0xfeedcafe, 8);
  const native = new Uint32Array([fields.size ?? 40, fields.off ?? 40, fields.len ?? block.length]);
  Buffer.from(native.buffer).copy(header, 12);
  [fields.subsystem, fields.devtype, fields.high, fields.low].forEach((word, i) =>
    header.writeUInt32BE(word ?? 0, 24 + 4 * i),
  );
  return Buffer.concat([header, block]);
}
