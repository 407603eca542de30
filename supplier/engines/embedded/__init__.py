"""The embedded engine: a Llama-style transformer in NumPy behind the OpenAI HTTP API.

It needs no GPU and no framework, so a whole market runs on a laptop; a supplier talks to it
exactly as it talks to vLLM. Run it with `python -m supplier.engines.embedded MODEL_DIR`.

    safetensors -> weights -> model (+ cache)     arrays in, logits out
    tokenizer, chat_template, text, stops         text in, tokens out, and back
    sampler -> sequence -> scheduler              one step advances every running sequence
    worker -> openai_api (requests, answers)      the thread, and the HTTP face
"""
