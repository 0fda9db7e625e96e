fn main() {
    let list: Vec<u32> = std::env::args().map(|a| a.len() as u32).collect();
    println!("before");
    println!("{}", list[list.len() + 7]);
}
