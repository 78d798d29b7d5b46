/** The longest name of a file, in bytes: NAME_MAX of limits.h, and f_namelen of statfs(2). */
export const NAME_MAX = 255;
