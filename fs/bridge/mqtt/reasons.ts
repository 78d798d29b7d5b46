/** Two bridges have one client id, and each takes the connection of the other. */
export const TWIN =
  'another bridge has the same name and machine id: use another --host, and a new /etc/machine-id for the clone of a host';

/** The reason codes of MQTT 5, section 2.4, that a broker refuses with. */
const REASONS: Readonly<Record<number, string>> = {
  0x00: 'Normal disconnection',
  // The answer of a broker that has MQTT 3.1.1 only (its section 3.2.2.3)
  0x01: 'Unacceptable protocol version (use a broker with MQTT 5)',
  0x80: 'Unspecified error',
  0x81: 'Malformed packet',
  0x82: 'Protocol error',
  0x83: 'Implementation specific error',
  0x84: 'Unsupported protocol version (use a broker with MQTT 5)',
  0x85: 'Client identifier not valid',
  0x86: 'Bad user name or password (check --user and --password-file)',
  0x87: 'Not authorized (let the host write its topics: docs/reference/fleet.md has the rules)',
  0x88: 'Server unavailable',
  0x89: 'Server busy',
  0x8a: 'Banned',
  0x8b: 'Server shutting down',
  0x8d: 'Keep alive timeout',
  0x8e: `Session taken over (${TWIN})`,
  0x8f: 'Topic filter invalid',
  0x90: 'Topic name invalid',
  0x93: 'Receive maximum exceeded',
  0x95: 'Packet too large (raise the size that the broker allows)',
  0x96: 'Message rate too high',
  0x97: 'Quota exceeded',
  0x98: 'Administrative action',
  0x99: 'Payload format invalid',
  0x9a: 'Retain not supported (use a broker that keeps retained messages)',
  0x9b: 'QoS not supported (use a broker with QoS 1)',
  0x9c: 'Use another server (name it by --broker)',
  0x9d: 'Server moved (name the new one by --broker)',
  0x9f: 'Connection rate exceeded',
  0xa0: 'Maximum connect time',
  0xa2: 'Wildcard subscriptions not supported (use a broker that has them)',
};

/** Returns the meaning of a reason code, with a remedy if there is one. */
export function reasonText(code: number): string {
  return REASONS[code] ?? `reason 0x${code.toString(16)}`;
}

/** The first words of {@link reasonText} for a connection that another client has replaced. */
export const TAKEN_OVER = 'Session taken over';

/** The reason code for a message that is larger than the broker allows. */
export const PACKET_TOO_LARGE = 0x95;

/** The codes of a broker that may take the same message later. */
const TEMPORARY: ReadonlySet<number> = new Set([0x80, 0x83, 0x97]);

/** Tells whether a broker may take a message later that it refuses now. */
export function isTemporary(code: number): boolean {
  return TEMPORARY.has(code);
}

/** The reason codes for what a bridge needs and a broker may lack. */
export const UNSUPPORTED_VERSION = 0x84;
export const RETAIN_NOT_SUPPORTED = 0x9a;
export const QOS_NOT_SUPPORTED = 0x9b;
export const WILDCARDS_NOT_SUPPORTED = 0xa2;
