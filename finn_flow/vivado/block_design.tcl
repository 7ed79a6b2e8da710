# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
#
# A Zynq with the packaged design behind a DMA, to a bitstream: behind package_ip.tcl,
# vivado -mode batch -source block_design.tcl
#
#   DDR ◄── S_AXI_HP0 ◄── memory (SmartConnect) ◄── dma ◄── accelerator   (◄── dma, with inputs)
#           M_AXI ──► control (SmartConnect) ──► dma
#
# dma is AXI DMA, or for AXI4-Stream Video ($VIDEO) AXI VDMA, which writes one frame again and again.
# Everything runs with the first clock of the processing system.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

proc latest {name} {
    return [get_property VLNV [get_ipdefs -filter "NAME == $name"]]
}

create_project -force -part $PART dhq_zynq [file join $here project]
set_property board_part $BOARD_PART [current_project]
set_property ip_repo_paths [list [file join $here ip]] [current_project]
update_ip_catalog -rebuild
create_bd_design system

if {[string match xc7z* $PART]} {
    create_bd_cell -type ip -vlnv [latest processing_system7] ps
    apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
        -config {make_external "FIXED_IO, DDR" apply_board_preset "1" Master "Disable" Slave "Disable"} \
        [get_bd_cells ps]
    set_property -dict [list CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_USE_M_AXI_GP0 1 \
        CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $CLOCK_MHZ] [get_bd_cells ps]
    set clock ps/FCLK_CLK0
    set ready ps/FCLK_RESET0_N
    set clocked [list ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK]
    set master ps/M_AXI_GP0
    set slave ps/S_AXI_HP0
} else {
    create_bd_cell -type ip -vlnv [latest zynq_ultra_ps_e] ps
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e \
        -config {apply_board_preset "1"} [get_bd_cells ps]
    set_property -dict [list CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__USE__M_AXI_GP0 1 \
        CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $CLOCK_MHZ] [get_bd_cells ps]
    set clock ps/pl_clk0
    set ready ps/pl_resetn0
    set clocked [list ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk]
    set master ps/M_AXI_HPM0_FPD
    set slave ps/S_AXI_HP0_FPD
}

create_bd_cell -type ip -vlnv [latest proc_sys_reset] reset
create_bd_cell -type ip -vlnv [latest smartconnect] control
create_bd_cell -type ip -vlnv [latest smartconnect] memory
create_bd_cell -type ip -vlnv dhq_brevitas:dhq:$TOP:1.0 accelerator

set with_inputs [expr {$INPUT_BITS > 0}]
if {$VIDEO} {
    # Frames begin with TUSER, lines at any byte.
    create_bd_cell -type ip -vlnv [latest axi_vdma] dma
    set_property -dict [list CONFIG.c_include_mm2s 0 CONFIG.c_include_s2mm 1 \
        CONFIG.c_num_fstores 1 CONFIG.c_use_s2mm_fsync 2 CONFIG.c_include_s2mm_dre 1 \
        CONFIG.c_s2mm_genlock_mode 0 CONFIG.c_m_axi_s2mm_data_width 32] [get_bd_cells dma]
    lappend clocked dma/s_axis_s2mm_aclk
} else {
    # A packet is a whole signal: 2^26 bytes are the most that a length of the DMA can have.
    create_bd_cell -type ip -vlnv [latest axi_dma] dma
    set_property -dict [list CONFIG.c_include_sg 0 CONFIG.c_sg_include_stscntrl_strm 0 \
        CONFIG.c_sg_length_width 26 CONFIG.c_include_mm2s $with_inputs CONFIG.c_include_s2mm 1 \
        CONFIG.c_m_axi_s2mm_data_width [expr {max(32, $OUTPUT_BITS)}]] [get_bd_cells dma]
}
if {$with_inputs} {
    set_property -dict [list CONFIG.c_m_axi_mm2s_data_width [expr {max(32, $INPUT_BITS)}] \
        CONFIG.c_m_axis_mm2s_tdata_width $INPUT_BITS] [get_bd_cells dma]
}
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1] [get_bd_cells control]
set_property -dict [list CONFIG.NUM_SI [expr {1 + $with_inputs}] CONFIG.NUM_MI 1] \
    [get_bd_cells memory]

proc connect {from to} {
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}
connect $master control/S00_AXI
connect control/M00_AXI dma/S_AXI_LITE
connect accelerator/m_axis_0 dma/S_AXIS_S2MM
connect dma/M_AXI_S2MM memory/S00_AXI
if {$with_inputs} {
    connect dma/M_AXIS_MM2S accelerator/s_axis_0
    connect dma/M_AXI_MM2S memory/S01_AXI
    lappend clocked dma/m_axi_mm2s_aclk
}
connect memory/M00_AXI $slave

lappend clocked reset/slowest_sync_clk control/aclk memory/aclk accelerator/ap_clk \
    dma/s_axi_lite_aclk dma/m_axi_s2mm_aclk
foreach pin $clocked {
    connect_bd_net [get_bd_pins $clock] [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins $ready] [get_bd_pins reset/ext_reset_in]
foreach pin {control/aresetn memory/aresetn dma/axi_resetn accelerator/ap_rst_n} {
    connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin]
}

assign_bd_address
save_bd_design
validate_bd_design
make_wrapper -files [get_files system.bd] -import -top
set_property top system_wrapper [get_filesets sources_1]
update_compile_order -fileset sources_1

launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
    error "implementation failed: see [file join $here project dhq_zynq.runs impl_1 runme.log]"
}
open_run impl_1
report_timing_summary -file [file join $here timing.rpt]
report_utilization -hierarchical -file [file join $here utilization.rpt]
set slack [get_property SLACK [get_timing_paths -delay_type max]]
if {$slack < 0} {
    error "the clock of $CLOCK_MHZ MHz is missed by [expr {-$slack}] ns: see timing.rpt; repeat dhq build with a larger --clk-ns"
}
# PYNQ takes the two by one name.
file copy -force [glob [file join $here project dhq_zynq.runs impl_1 *.bit]] [file join $here zynq.bit]
file copy -force [lindex [glob [file join $here project dhq_zynq.* sources_1 bd system hw_handoff system.hwh]] 0] \
    [file join $here zynq.hwh]
