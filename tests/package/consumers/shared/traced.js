// A traced request, the same in every consumer: under the caller's span, and on to a server that answers with what it
// was sent.

export async function traced(opik, headers, url) {
  const answer = await opik.span({ name: "root", parent: headers }, async (root) => {
    await null;
    // In a page nothing nests by itself. Everywhere else the span is still current.
    const current = typeof document === "object" ? root : opik;
    return (await current.fetch(url)).json();
  });
  await opik.flush();
  return answer;
}
