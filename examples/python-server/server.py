"""A retriever that continues its caller's trace. To run it: uvicorn server:app"""

from fastapi import FastAPI, Request
from retriever import retrieve

app = FastAPI()


@app.post("/retrieve")
async def route(request: Request) -> dict:
    body = await request.json()
    return retrieve(body["query"], request.headers)


@app.get("/")
async def ready() -> dict:
    return {"ready": True}
