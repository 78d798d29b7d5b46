/** Why a connection to a broker fails: Node's errors in one line, with what to do. */
import { errnoText, isSystemError } from '../../shared/errors.js';

/** The hint if a broker accepts no connection, and does not say why. */
const REFUSED =
  'its log has the reason; ports with TLS need mqtts://, all others mqtt://; ' +
  'a broker without MQTT 5 may do so too';

/** The codes for a certificate of the broker that no known authority has signed. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
]);

/** Hints by the code of the error. */
const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start the broker, or check the host and the port of --broker',
  ECONNRESET: REFUSED,
  EPIPE: REFUSED,
  EHOSTUNREACH: 'check the network',
  ENETUNREACH: 'check the network',
  ENETDOWN: 'check the network',
  EHOSTDOWN: 'check the network',
  EADDRNOTAVAIL: 'check the network, and the host of --broker',
  EACCES: 'a firewall or a sandbox of this host forbids it',
  EPERM: 'a firewall or a sandbox of this host forbids it',
  ETIMEDOUT: 'check the network, and that no firewall drops the packets',
  ENOTFOUND: 'check the host of --broker, and DNS',
  EAI_AGAIN: 'check the network, and /etc/resolv.conf',
  CERT_HAS_EXPIRED: 'renew it at the broker, or set the clock of this host',
  CERT_NOT_YET_VALID: 'set the clock of this host',
  CERT_REVOKED: 'renew it at the broker',
  INVALID_CA: 'the certificate that has signed it is no authority: renew it at the broker',
  PATH_LENGTH_EXCEEDED: 'the authority may not have others below it: renew it at the broker',
  CERT_CHAIN_TOO_LONG: 'the authority may not have others below it: renew it at the broker',
  INVALID_PURPOSE: 'it is not for servers: renew it at the broker',
  ERR_TLS_CERT_ALTNAME_INVALID: 'give --broker the name that the certificate has',
};

/** Hints for OpenSSL's reasons. Only an alert comes from the broker. */
const TLS_HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /protocol version|unsupported protocol|no shared cipher|handshake failure|no suitable/,
    'let the broker use TLS 1.2 or 1.3; its log has the reason',
  ],
  [/alert (certificate required)/, "it asks for this host's certificate: --cert and --key"],
  [/alert (certificate expired)/, 'renew the one of --cert'],
  [/alert (certificate revoked)/, 'renew the one of --cert'],
  [/alert (unknown ca)/, "use a --cert that the broker's authority has signed"],
  [/too (small|weak)/, 'renew the certificate of the broker, with a larger key and SHA-256'],
];

/** The codes for an address of a kind that this host has no network for. */
const ROUTELESS: ReadonlySet<string | undefined> = new Set(['ENETUNREACH', 'EADDRNOTAVAIL']);

/** An error of a socket, with the members that Node and OpenSSL add. */
interface SocketError extends Error {
  readonly code?: string;
  /** OpenSSL's reason, as in `wrong version number`. */
  readonly reason?: string;
  /** The errors of all addresses of a name. */
  readonly errors?: readonly SocketError[];
}

/**
 * Returns one line about the failure of a socket.
 *
 * @param error of the event `error` of a socket for TCP or TLS
 * @param hasAuthority whether `--ca` is given
 * @param wasOpen whether the broker had accepted the connection: then it speaks MQTT 5
 */
export function failureText(error: Error, hasAuthority = false, wasOpen = false): string {
  const { errors, code = '', reason = '' } = error as SocketError;
  if (wasOpen && (code === 'ECONNRESET' || code === 'EPIPE')) return CLOSED;
  // A name with several addresses: the error itself has no text.
  if (errors !== undefined && errors.length > 0)
    return failureText(
      errors.find(({ code: own }) => !ROUTELESS.has(own)) ?? errors[0],
      hasAuthority,
    );
  if (reason === 'wrong version number' || reason === 'packet length too long')
    return 'the broker does not speak TLS on this port (use the port of its TLS listener, or mqtt://)';
  const hint = TLS_HINTS.find(([words]) => words.test(reason || error.message))?.[1];
  if (code.startsWith('ERR_SSL_')) return tlsText(code, reason || code, hint);
  const text = isSystemError(error) ? errnoText(error.errno) : error.message.split('\n')[0];
  return withHint(text, authorityHint(code, hasAuthority) ?? HINTS[code] ?? hint);
}

function tlsText(code: string, reason: string, hint: string | undefined): string {
  if (!code.includes('ALERT'))
    return withHint(`TLS fails: ${reason}`, hint ?? "the broker's log may have the reason");
  const isAboutTls = /protocol version|handshake failure|internal error|insufficient/.test(reason);
  const what = isAboutTls ? 'the connection' : "this host's certificate";
  return withHint(`the broker refuses ${what}: ${reason}`, hint ?? 'check --cert and --key');
}

/** Returns the hint for a certificate that no known authority has signed. */
function authorityHint(code: string, hasAuthority: boolean): string | undefined {
  if (!UNKNOWN_AUTHORITY.has(code)) return undefined;
  if (hasAuthority) return "is --ca the authority that has signed the broker's certificate?";
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT') return 'name it: --ca FILE';
  return 'name the authority that has signed it: --ca FILE';
}

/** Why a connection ends that the broker had accepted. */
export const CLOSED = 'the broker has closed the connection';
/** Why a broker ends a connection that it has not accepted. */
export const CLOSED_AT_ONCE = withHint(CLOSED, REFUSED);

/**
 * Returns why a broker has not accepted a connection in time.
 *
 * @param seconds the time
 * @param isConnecting whether TCP has no connection yet
 */
export function lateText(
  seconds: number,
  { host, isResolving }: { readonly host: string; readonly isResolving: boolean },
  isConnecting: boolean,
): string {
  if (isResolving)
    return withHint(`no address of ${host} within ${seconds} s`, 'check DNS: /etc/resolv.conf');
  if (isConnecting)
    return withHint(
      `no answer within ${seconds} s`,
      'check the host and the port, and that no firewall drops the packets',
    );
  return withHint(
    `no word of MQTT within ${seconds} s of a connection`,
    'check that the broker runs there, and that the network does not drop large packets',
  );
}

function withHint(text: string, hint: string | undefined): string {
  return hint === undefined ? text : `${text} (${hint})`;
}
