/** The page's style. Markers and dashes tell designs apart too, for the colour-blind. */

const LIGHT: Readonly<Record<string, string>> = {
  'own-stream': '#0b5fa5',
  stream: '#1492cc',
  head: '#0b7d62',
  inotify: '#6a4fb3',
  socket: '#c84f00',
  fdpass: '#b8156f',
  netlink: '#8f6a00',
  fifodir: '#4a4a4a',
  cleaned: '#8a4b1f',
};

const DARK: Readonly<Record<string, string>> = {
  'own-stream': '#6fb4f5',
  stream: '#93e0ff',
  head: '#4fd6b0',
  inotify: '#bda8f5',
  socket: '#ff9c4a',
  fdpass: '#ff7dc3',
  netlink: '#f2cd50',
  fifodir: '#c4c4c4',
  cleaned: '#dba26b',
};

const colours = (of: Readonly<Record<string, string>>): string =>
  Object.entries(of)
    .map(([design, colour]) => `.d-${design}{--c:${colour}}`)
    .join('');

export const STYLE = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--soft:#5b636c;--grid:#e3e6ea;--box:#f5f7f9}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e8eaed;--soft:#a3abb5;--grid:#2c3238;--box:#1d2125}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:1220px;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,'DejaVu Sans',sans-serif}
h1{margin:0 0 .3rem;font-size:1.6rem}h2{margin:2.2rem 0 .3rem;font-size:1.2rem}p{margin:.3rem 0 .8rem;max-width:80ch}
.machine,.note{color:var(--soft);font-size:.9rem}
.legend{position:sticky;top:0;z-index:1;display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;padding:.5rem 0;background:var(--bg);border-bottom:1px solid var(--grid);font-size:.9rem}
.legend span{display:inline-flex;align-items:center;gap:.4rem;white-space:nowrap}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:.6rem}
svg.panel{width:100%;max-width:560px;height:auto;display:block}
svg text{fill:var(--fg);font:12px system-ui,'DejaVu Sans',sans-serif}svg .title{font-weight:600;font-size:13px}svg .tick,svg .axis{fill:var(--soft);font-size:11px}
.grid{stroke:var(--grid);fill:none}
.line{fill:none;stroke:var(--c);stroke-width:1.8}.marker{fill:var(--c);stroke:var(--bg);stroke-width:.8}.whisker{stroke:var(--c);stroke-width:1.2;opacity:.55}
.d-socket .line,.d-fdpass .line,.d-netlink .line{stroke-dasharray:7 3}.d-fifodir .line,.d-cleaned .line{stroke-dasharray:2 3}
.d-fifodir .marker,.d-cleaned .marker{fill:var(--bg);stroke:var(--c);stroke-width:1.5}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.4rem 0 1rem;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--grid);vertical-align:top}
th{background:var(--box);font-weight:600}th:first-child,td:first-child,.words td,.words th{text-align:left}
caption{text-align:left;font-weight:600;padding:.3rem 0}
details{margin:.4rem 0 1rem}summary{cursor:pointer;color:var(--soft)}
${colours(LIGHT)}
@media(prefers-color-scheme:dark){${colours(DARK)}}
`.trim();
