/** What commands take where the command line says nothing. */
export const DEFAULT_DIRECTORY = '/dev/events';
