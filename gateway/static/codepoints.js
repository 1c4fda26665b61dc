/**
 * The server counts a text in Unicode code points, JavaScript in UTF-16 units. They part only
 * behind characters outside the first plane (emoji, rare Han), so only those are remembered.
 */

/** Converts places in one text. */
export class CodePoints {
  constructor(text) {
    this.astral = []; // UTF-16 places of the pairs, ascending
    for (const match of text.matchAll(/[\u{10000}-\u{10FFFF}]/gu)) this.astral.push(match.index);
  }

  /** Code points before a UTF-16 place. */
  fromUtf16(place) {
    return place - below(this.astral, (at) => at < place - 1);
  }

  /** The UTF-16 place of a code point. */
  toUtf16(point) {
    // The pair at `astral[i]` is code point `astral[i] - i`.
    return point + below(this.astral, (at, index) => at - index < point);
  }
}

/** How many code points a text has. */
export function lengthOf(text) {
  return text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);
}

/** How many of a sorted list, from its start, answer yes. */
export function below(list, yes) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (yes(list[middle], middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
