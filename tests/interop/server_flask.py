"""The guide's server under gunicorn as it comes: gunicorn server_flask:app. It drops names with underscores."""

from flask import Flask, request
from retriever import retrieve

app = Flask(__name__)


@app.post("/retrieve")
def route() -> dict:
    return retrieve(request.json["query"], request.headers)


@app.get("/echo")
def echo() -> dict:
    return dict(request.headers)


@app.get("/")
def ready() -> dict:
    return {"ready": True}
