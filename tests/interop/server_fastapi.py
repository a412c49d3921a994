"""The guide's server under uvicorn: uvicorn server_fastapi:app"""

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
