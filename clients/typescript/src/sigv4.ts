/** Signs requests by AWS Signature Version 4, for an API with `Authorization=AWS_IAM`. For Node. */

import { Sha256 } from "@aws-crypto/sha256-js";
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { SignatureV4 } from "@smithy/signature-v4";

type Options = { region?: string; credentials?: ConstructorParameters<typeof SignatureV4>[0]["credentials"] };

/**
 * Returns a `fetch` that signs. The credentials come from the default chain of the AWS SDK, the region from the address
 * of the API or else from `AWS_REGION`, unless they are given.
 */
export function sigv4({ region = "", credentials = defaultProvider() }: Options = {}): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { method, headers, signal } = request;
    const url = new URL(request.url);
    // A plus is a blank to some servers only.
    url.search = url.search.replaceAll("+", "%20");
    const inAddress = /\.execute-api\.([a-z0-9-]+)\.amazonaws\./.exec(url.hostname)?.[1];
    const chosen = region || inAddress || process.env["AWS_REGION"];
    if (!chosen) throw new Error("The region of the API is not known. Give it to sigv4, or set AWS_REGION.");
    const signer = new SignatureV4({ service: "execute-api", region: chosen, credentials, sha256: Sha256 });
    const query: Record<string, string[]> = {};
    for (const [name, value] of url.searchParams) (query[name] ??= []).push(value);
    const { protocol, hostname, pathname: path, host } = url;
    const body = new Uint8Array(await request.arrayBuffer());
    const signed = await signer.sign({ method, protocol, hostname, path, query, body, headers: { host } });
    for (const [name, value] of Object.entries(signed.headers)) if (name !== "host") headers.set(name, value);
    return fetch(url, { method, headers, signal, body: body.length > 0 ? body : null });
  };
}
