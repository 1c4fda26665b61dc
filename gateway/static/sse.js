/** Server-Sent Events out of a `fetch`, which unlike `EventSource` can send a key. */

/** Yield `{id, event, data}` for each event of an answer; `data` is parsed JSON. */
export async function* readEvents(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let block = {};
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (block.data !== undefined) yield { ...block, data: JSON.parse(block.data) };
        block = {};
        continue;
      }
      const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line);
      if (field === "data") block.data = block.data === undefined ? text : `${block.data}\n${text}`;
      else if (field === "event" || field === "id") block[field] = text;
    }
  }
}
