/** The file `log/.metrics`: the daemon's counters in Prometheus' text format. */
import { type DotFileHost, ReportFile } from './text-file.js';

/** The name of the file in `log/`. */
export const METRICS = '.metrics';

/** The file `.metrics`. */
export class MetricsFile extends ReportFile<DotFileHost & { metrics(): string }> {
  protected makeText(): string {
    return this.directory.metrics();
  }
}
