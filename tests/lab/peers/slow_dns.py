"""A resolver that passes every query on to config.server and its answer back after config.delay seconds."""

import socket
import threading

import listening

SERVER, DELAY = listening.HOST["config"]["server"], float(listening.HOST["config"]["delay"])


def answer(listener, query, sender):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.settimeout(20)
        upstream.sendto(query, (SERVER, 53))
        reply = upstream.recv(65536)
    threading.Timer(DELAY, listener.sendto, (reply, sender)).start()


def relay(listener):
    while True:
        query, sender = listener.recvfrom(65536)
        threading.Thread(target=answer, args=(listener, query, sender), daemon=True).start()


socket_of_queries = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
socket_of_queries.bind((listening.HOST["ip4"], 53))
threading.Thread(target=relay, args=(socket_of_queries,), daemon=True).start()
listening.serve({})
