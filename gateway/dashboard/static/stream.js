// Reading a streamed answer, and finding in what was received the bytes that its supplier signed.

const END = "\n\n";
const DONE = "data: [DONE]\n\n";
const COST = /,?"cost":\d+(?=\})/g;

/** Reads a stream to its end, calls `onEvent` with each event's JSON, and returns all its text. */
export async function readEvents(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let all = "", rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return all;
    all += value;
    rest += value;
    for (let at = rest.indexOf(END); at >= 0; at = rest.indexOf(END)) {
      const line = rest.slice(0, at);
      rest = rest.slice(at + END.length);
      if (line.startsWith("data: {")) onEvent(JSON.parse(line.slice(6)));
    }
  }
}

/** What the supplier signed: without the gateway's comments, the cost it wrote in, and the end. */
export function signedBytes(received) {
  const events = received.split(END).slice(0, -1).filter((each) => each !== ": waiting" && !each.startsWith(": lode "));
  const text = events.map((each) => each + END).join("");
  const body = text.endsWith(DONE) ? text.slice(0, -DONE.length) : text;
  const last = [...body.matchAll(COST)].at(-1);
  return last ? body.slice(0, last.index) + body.slice(last.index + last[0].length) : body;
}
