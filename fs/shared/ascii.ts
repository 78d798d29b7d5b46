/** ASCII codes of the characters that event text is built from. */
export const NUL = 0x00;
export const LF = 0x0a;
export const ZERO = 0x30;
export const NINE = 0x39;
export const SLASH = 0x2f;
export const EQUALS = 0x3d;
export const AT = 0x40;
export const BACKSLASH = 0x5c;
