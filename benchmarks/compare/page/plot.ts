/** Makes plots as SVG text: lines over the number of subscribers, with logarithmic axes. */
import { type ScaleLogarithmic, scaleLog } from 'd3-scale';
import {
  line,
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  symbolWye,
} from 'd3-shape';

export interface Point {
  readonly x: number;
  readonly y: number;
  /** The least and the greatest value of several rounds. */
  readonly least?: number;
  readonly most?: number;
}

interface Series {
  readonly design: string;
  readonly points: readonly Point[];
}

interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
}

export interface Figure {
  readonly panels: readonly Panel[];
  readonly yLabel: string;
  /** Formats a value for the axis and for the marker's title. */
  readonly format: (value: number) => string;
}

const PANEL = { width: 372, height: 300, left: 66, right: 10, top: 30, bottom: 46 } as const;
const MARKER_AREA = 44;
/** The factor by which the axes exceed the points, so that no marker lies on the frame. */
const MARGIN = 1.25;
/** The markers of the designs. */
const SHAPES: Readonly<Record<string, typeof symbolCircle>> = {
  'own-stream': symbolCircle,
  stream: symbolSquare,
  head: symbolTriangle,
  inotify: symbolDiamond,
  socket: symbolCross,
  fdpass: symbolStar,
  netlink: symbolWye,
  fifodir: symbolCircle,
  cleaned: symbolSquare,
};

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Returns a design's marker with a piece of its line, for the legend. */
export function swatch(design: string): string {
  return `<svg class="swatch" width="38" height="14" viewBox="-19 -7 38 14" aria-hidden="true"><g class="d-${design}"><path class="line" d="M-19 0H19"/>${marker(design)}</g></svg>`;
}

/** Returns the panels of a figure, which have the same axes. */
export function figureSvgs(figure: Figure): string[] {
  const points = figure.panels.flatMap(({ series }) => series.flatMap((each) => each.points));
  const x = scaleLog(domainOf(points.map((point) => point.x)), [
    PANEL.left,
    PANEL.width - PANEL.right,
  ]);
  const values = points
    .flatMap(({ y, least = y, most = y }) => [y, least, most])
    .filter((value) => value > 0);
  const y = scaleLog(domainOf(values), [PANEL.height - PANEL.bottom, PANEL.top]);
  const ticks = [...new Set(points.map((point) => point.x))];
  return figure.panels.map((panel) => panelSvg(panel, figure, x, y, ticks));
}

function domainOf(values: readonly number[]): [number, number] {
  const finite = values.filter((value) => Number.isFinite(value) && value > 0);
  return finite.length === 0
    ? [1, 10]
    : [Math.min(...finite) / MARGIN, Math.max(...finite) * MARGIN];
}

type Scale = ScaleLogarithmic<number, number>;

function panelSvg(
  panel: Panel,
  figure: Figure,
  x: Scale,
  y: Scale,
  xTicks: readonly number[],
): string {
  const label = `${panel.title}: ${figure.yLabel} against the number of subscribers`;
  return [
    `<svg class="panel" viewBox="0 0 ${PANEL.width} ${PANEL.height}" role="img" aria-label="${escapeHtml(label)}">`,
    `<text class="title" x="${PANEL.left}" y="17">${escapeHtml(panel.title)}</text>`,
    xAxis(x, xTicks),
    yAxis(y, figure),
    ...panel.series.map((series) => seriesSvg(series, figure, x, y)),
    '</svg>',
  ].join('');
}

function xAxis(x: Scale, ticks: readonly number[]): string {
  const bottom = PANEL.height - PANEL.bottom;
  const marks = ticks.map((tick) => {
    const at = x(tick).toFixed(1);
    return `<path class="grid" d="M${at} ${PANEL.top}V${bottom}"/><text class="tick" x="${at}" y="${bottom + 16}" text-anchor="middle">${tick.toLocaleString('en')}</text>`;
  });
  const middle = (PANEL.left + PANEL.width - PANEL.right) / 2;
  return `${marks.join('')}<text class="axis" x="${middle}" y="${PANEL.height - 10}" text-anchor="middle">subscribers (log)</text>`;
}

/** Returns powers of ten, with 2 and 5 times these if there are few. */
export function logTicks(least: number, most: number): number[] {
  const ticks: number[] = [];
  const steps = Math.log10(most / least) > 3 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
    for (const step of steps) {
      const tick = power < 0 ? step / 10 ** -power : step * 10 ** power;
      if (tick >= least && tick <= most) ticks.push(tick);
    }
  }
  return ticks;
}

function yAxis(y: Scale, { yLabel, format }: Figure): string {
  const [least, most] = y.domain();
  const right = PANEL.width - PANEL.right;
  const marks = logTicks(least, most).map((tick) => {
    const at = y(tick).toFixed(1);
    return `<path class="grid" d="M${PANEL.left} ${at}H${right}"/><text class="tick" x="${PANEL.left - 6}" y="${at}" dy="0.32em" text-anchor="end">${format(tick)}</text>`;
  });
  const middle = (PANEL.top + PANEL.height - PANEL.bottom) / 2;
  return `${marks.join('')}<text class="axis" transform="translate(13 ${middle}) rotate(-90)" text-anchor="middle">${escapeHtml(yLabel)} (log)</text>`;
}

function seriesSvg({ design, points }: Series, { format }: Figure, x: Scale, y: Scale): string {
  const shown = points.filter((point) => Number.isFinite(point.y) && point.y > 0);
  if (shown.length === 0) return '';
  const path = line<Point>(
    (point) => x(point.x),
    (point) => y(point.y),
  ).digits(1)(shown)!;
  const whiskers = shown
    .filter(({ least = 0, most = 0 }) => least > 0 && most > least)
    .map(
      ({ x: at, least, most }) =>
        `<path class="whisker" d="M${x(at).toFixed(1)} ${y(least!).toFixed(1)}V${y(most!).toFixed(1)}"/>`,
    );
  const markers = shown.map((point) => {
    const at = `translate(${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)})`;
    return `<g transform="${at}">${marker(design, `${design}, ${point.x} subscribers: ${format(point.y)}`)}</g>`;
  });
  return `<g class="d-${design}">${whiskers.join('')}<path class="line" d="${path}"/>${markers.join('')}</g>`;
}

function marker(design: string, title?: string): string {
  const shape = symbol(SHAPES[design] ?? symbolCircle, MARKER_AREA).digits(1)()!;
  return `<path class="marker" d="${shape}">${title === undefined ? '' : `<title>${escapeHtml(title)}</title>`}</path>`;
}
