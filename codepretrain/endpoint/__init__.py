"""OpenAI-compatible endpoints: paid requests that are sent once, within a budget, resumably.

chat: one request and what may come back. pace: when the next one may be sent. account: prices and
sums. paid_requests: many requests, in threads, with a journal of the answers.
"""
