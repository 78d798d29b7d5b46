/** Defaults that several commands share. */
export const DEFAULT_DIRECTORY = '/dev/events';
