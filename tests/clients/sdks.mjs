// The vendors' SDKs for Node, through whatever HTTPS_PROXY names; prints what arrived, as JSON.
//
//     node sdks.mjs VENDOR DISPATCHER

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { EnvHttpProxyAgent, ProxyAgent } from "undici";

const [vendor, kind] = process.argv.slice(2);
// fetch of Node 20 heeds no variable; what carries its requests has to be told.
const dispatcher = kind === "EnvHttpProxyAgent" ? new EnvHttpProxyAgent() : new ProxyAgent(process.env.HTTPS_PROXY);
const messages = [{ role: "user", content: "Hello" }];
const options = { apiKey: "sk-own-canary-0123456789abcdef", maxRetries: 0, fetchOptions: { dispatcher } };
const model = "gpt-5.4";

async function openai() {
  const client = new OpenAI(options);
  const blocking = await client.chat.completions.create({ model, messages });
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
  }
  const events = [];
  for await (const event of await client.responses.create({ model, input: "Hello", stream: true })) {
    events.push(event.type);
  }
  return { blocking: blocking.choices[0].message.content, streamed, last: events.at(-1) };
}

async function anthropic() {
  const client = new Anthropic(options);
  const asked = { model: "claude-opus-5", max_tokens: 50, messages };
  const blocking = await client.messages.create(asked);
  let streamed = "";
  let last = "";
  for await (const event of await client.messages.create({ ...asked, stream: true })) {
    if (event.type === "content_block_delta") {
      streamed += event.delta.text;
    }
    last = event.type;
  }
  return { blocking: blocking.content[0].text, streamed, last };
}

console.log(JSON.stringify(await (vendor === "openai" ? openai() : anthropic())));
await dispatcher.close();
