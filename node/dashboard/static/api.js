// Asking the node that serves this page, and following it live.

const ROOT = "/dashboard/api/";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function read(response) {
  const text = await response.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refused(response.status, `the answer is no JSON (status ${response.status})`);
  }
  if (!response.ok) throw new Refused(response.status, value.error?.message ?? `status ${response.status}`);
  return value;
}

/** The JSON of an endpoint; raises Refused. */
export const get = async (name) => read(await fetch(ROOT + name, { headers: { accept: "application/json" } }));

/** Sends JSON; the extra header is what another site's page cannot send. */
export const post = async (name, body = {}) =>
  read(
    await fetch(ROOT + name, {
      method: "POST",
      headers: { "content-type": "application/json", "x-lode-dashboard": "1" },
      body: JSON.stringify(body),
    }),
  );

/** Calls `onPulse` for each live update and `onState` with whether the line is up. */
export function follow(onPulse, onState) {
  let source = null;
  const open = () => {
    source = new EventSource(ROOT + "stream");
    source.onopen = () => onState(true);
    source.onerror = () => {
      onState(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 5000);
    };
    source.onmessage = (event) => onPulse(JSON.parse(event.data));
  };
  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && open());
}
