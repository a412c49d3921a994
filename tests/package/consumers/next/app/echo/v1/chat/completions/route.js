export function POST(request) {
  return Response.json({ headers: Object.fromEntries(request.headers) });
}
