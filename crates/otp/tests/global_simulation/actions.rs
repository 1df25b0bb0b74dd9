//! What a node does.

use peerl_node::Caller;
use peerl_otp::global::{Action, Event, LinkEnd, MonitorId, Request, RequestId};
use peerl_term::{Atom, Pid, Term};

use crate::network::{Network, Packet, ends};
use crate::node::{Asker, Local, Monitor, OpenCall, Wanted};

impl Network {
    pub(crate) fn act(&mut self, name: &Atom, action: Action) {
        self.log(|| format!("{name}: {action:?}"));
        match action {
            Action::Send(to, message) => self.send(name, &to, Packet::ToServer(message.to_term())),
            Action::SendProcess(pid, message) => self.send_process(name, pid, message),
            Action::Call(call, to, request) => self.call(name, Asker::Server(call), &to, &request),
            Action::AbandonCall(abandoned) => {
                let node = self.nodes.get_mut(name).unwrap();
                node.calls.retain(|_, call| !matches!(call.caller, Asker::Server(id) if id == abandoned));
            }
            Action::Reply(caller, reply) => {
                self.send_process(name, caller.pid, Term::tuple([caller.tag, reply]));
            }
            Action::Answer(request, answer) => self.answer(name, request, &answer),
            Action::Monitor(monitor, pid) => self.monitor(name, monitor, pid),
            Action::Demonitor(monitor) => {
                let removed = self.nodes.get_mut(name).unwrap().monitors.remove(&monitor);
                if let Some(Monitor { pid, .. }) = removed {
                    if pid.node == *name {
                        self.unwatch(&pid, name, monitor);
                    } else {
                        self.send(name, &pid.node.clone(), Packet::Demonitor(monitor, pid));
                    }
                }
            }
            Action::Kill(pid) if pid.node == *name => self.kill(&pid),
            Action::Kill(pid) => self.send(name, &pid.node.clone(), Packet::Kill(pid)),
            Action::Connect(to) => self.nodes.get_mut(name).unwrap().local.push_back(Local::Dial(to)),
            Action::Disconnect(to) => self.close(name, &to, LinkEnd::Own, LinkEnd::Peer),
            Action::Resolve(id, to, arguments) => {
                if self.connections.contains_key(&ends(name, &to)) {
                    self.send(name, &to, Packet::Resolve(id, arguments));
                } else {
                    let node = self.nodes.get_mut(name).unwrap();
                    node.local.push_back(Local::Event(Event::Returned(id, None)));
                }
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn answer(&mut self, name: &Atom, request: RequestId, answer: &Term) {
        let wanted = self.nodes.get_mut(name).unwrap().requests.remove(&request);
        self.log(|| format!("{name} has answered {request:?}: {answer}"));
        if let Some(Wanted::Change(_, Some(pid))) = wanted
            && answer.is_atom("no")
        {
            self.kill(&pid);
        }
    }

    pub(crate) fn monitor(&mut self, name: &Atom, monitor: MonitorId, pid: Pid) {
        let connection = self.connections.get(&ends(name, &pid.node)).copied();
        let is_own = pid.node == *name;
        let node = self.nodes.get_mut(name).unwrap();
        if is_own && pid == node.server {
            node.monitors.insert(monitor, Monitor { pid, connection: None });
        } else if is_own {
            match node.is_alive(&pid) {
                true => {
                    node.processes.get_mut(&pid.id).unwrap().push((name.clone(), monitor));
                    node.monitors.insert(monitor, Monitor { pid, connection: None });
                }
                false => node.local.push_back(Local::Event(Event::Down(monitor))),
            }
        } else if connection.is_some() {
            node.monitors.insert(monitor, Monitor { pid: pid.clone(), connection });
            self.send(name, &pid.node.clone(), Packet::Monitor(monitor, pid));
        } else {
            node.local.push_back(Local::Event(Event::Down(monitor)));
        }
    }

    pub(crate) fn call(&mut self, name: &Atom, caller: Asker, to: &Atom, request: &Request) {
        let connection = self.connections.get(&ends(name, to)).copied();
        let node = self.nodes.get_mut(name).unwrap();
        let tag = node.next_tag();
        let pid = match caller {
            Asker::Server(_) => node.server.clone(),
            Asker::User(process) | Asker::Nobody(process) => node.pid(process),
        };
        let from = Caller { pid, tag: Term::from(tag) };
        if to == name {
            node.calls.insert(tag, OpenCall { caller, node: to.clone(), connection: 0 });
            node.local.push_back(Local::Call(from, request.to_term()));
        } else if let Some(connection) = connection {
            node.calls.insert(tag, OpenCall { caller, node: to.clone(), connection });
            self.send(name, to, Packet::ToServer(gen_call(&from, request.to_term())));
        } else if let Asker::Server(call) = caller {
            node.local.push_back(Local::Event(Event::Answered(call, None)));
        } else {
            self.answered(name, caller, to, 0, None);
        }
    }
}

pub(crate) fn gen_call(from: &Caller, request: Term) -> Term {
    let caller = Term::tuple([from.pid.clone().into(), from.tag.clone()]);
    Term::tuple([Term::atom("$gen_call"), caller, request])
}
