/** Repairs of the package mqtt-packet. */

/** The reason codes of MQTT 5, 2.4. */
const FIRST_FAILURE = 0x80;
const LAST_FAILURE = 0xa2;

type Tables = Record<string, Record<number, string> | undefined>;

/**
 * Makes the parser take all reason codes. It calls an acknowledgement malformed whose code the
 * standard does not name for it, as mosquitto's 0x95 for a message that is too large.
 */
export async function takeAllReasons(): Promise<void> {
  const path: string = 'mqtt-packet/constants.js';
  const { default: tables } = (await import(path)) as { readonly default: Tables };
  for (const packet of ['PUBACK_PUBREC', 'SUBACK', 'UNSUBACK', 'DISCONNECT']) {
    const table = tables[`MQTT5_${packet}_CODES`];
    for (let code = FIRST_FAILURE; table !== undefined && code <= LAST_FAILURE; code++)
      table[code] ??= 'Failure';
  }
}
